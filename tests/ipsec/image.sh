# The emulated machine's images: which packages are in each, and where it is kept. Sourced; RIG is the rig's folder.
#
#   image NAME    builds the image if it is not up to date: strongswan (with FRR), or libreswan
#
# Two, since Debian's libreswan and strongSwan cannot be installed beside one another. run.py takes them from
# IMAGE_FOLDER by name, with the packages that PACKAGES_NAME says.

IMAGE_FOLDER=${IRONLANE_GUEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ironlane}
PACKAGES_strongswan="strongswan-charon strongswan-swanctl libstrongswan-standard-plugins \
libstrongswan-extra-plugins frr nftables iputils-ping"
PACKAGES_libreswan="libreswan libnss3-tools nftables iputils-ping"
export IMAGE_FOLDER PACKAGES_strongswan PACKAGES_libreswan

# Sets what the rig's scripts read, too.
image() { # NAME
    local packages=PACKAGES_$1
    export RIG_CACHE=$IMAGE_FOLDER/guest-$1 RIG_EXTRA_PACKAGES=${!packages}
    "$RIG/build-guest.sh" "$RIG_CACHE"
}

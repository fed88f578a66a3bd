# Sourced by scripts that begin with the two sites of the demo of IPsec: an Ironlane and an unmodified strongSwan
# each. Defines what scripts/demo/{sites,strongswan,ipsec}.sh define, and builds charon's plugin.
. "$(dirname "$0")/lib.sh"
. "$DEMO/sites.sh"
. "$DEMO/strongswan.sh"
. "$DEMO/ipsec.sh"
lack=$(swan_lack)
[ -z "$lack" ] || skip "$lack"
run 'the plugin' swan_plugin

//! Header views, writers and checksums.

//! Forwarding tables: longest prefix match, nexthops, groups, adjacencies.

//! Whole-data-plane tests.

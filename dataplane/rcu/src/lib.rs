//! Quiescent-state RCU: publish, read for one burst, retire.

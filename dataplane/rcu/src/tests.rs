//! The rules of the README, each as a model.

//! Tests from outside, in reading order.

mod config;
mod config_example;

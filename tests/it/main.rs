//! Tests from outside, in reading order.

mod command_line;
mod config;
mod config_example;
mod tidy;

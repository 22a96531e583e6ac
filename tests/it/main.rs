//! Tests from outside, in reading order.

mod config;

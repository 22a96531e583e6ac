//! Gateway: the pipeline.
pub mod access_log;
pub mod body;
pub mod settings;

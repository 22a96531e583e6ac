//! Gateway: the pipeline.
pub mod access_log;
pub mod settings;

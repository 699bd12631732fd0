//! An API of invoices.

#![allow(clippy::all, clippy::unimplemented, unused_imports, reason = "generated")]

pub mod apis;
pub mod models;

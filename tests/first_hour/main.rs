//! The first hour with an authorization server: what goes wrong then, and whether the verdict says so.

mod causes;

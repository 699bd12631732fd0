#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| client_credentials::hostile::certificate(bytes));

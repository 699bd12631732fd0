//! `--keep`: the token is kept between calls.

use super::*;

#[test]
fn the_token_is_kept_between_calls_if_configured() {
    let server = server();
    let directory = tempfile::tempdir().unwrap();
    let keep = directory.path().join("kept");
    let keep = keep.to_str().unwrap();
    let first = ran(configured(&server).args(["token", "--keep", keep])).1;
    let second = ran(configured(&server).args(["token", "--keep", keep])).1;
    assert!(first == second && server.token_requests() == 1, "{}", server.token_requests());
    ran(configured(&server).arg("token"));
    assert_eq!(server.token_requests(), 2);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |name: &str| std::fs::metadata(Path::new(keep).join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(""), mode("seal-key")), (0o700, 0o600));
    }
    for file in std::fs::read_dir(Path::new(keep).join("tokens")).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains(first.trim()));
    }
}

#[test]
fn a_key_that_is_cut_is_refused_with_what_to_do() {
    // D24
    let server = server();
    let directory = tempfile::tempdir().unwrap();
    let keep = directory.path().to_str().unwrap();
    let of_16_bytes = "AAAAAAAAAAAAAAAAAAAAAA==";
    for text in ["", "\n", "abc", of_16_bytes, "not base64", &"A".repeat(1 << 20)] {
        written(directory.path(), "seal-key", text);
        let (code, stdout, stderr) = ran(configured(&server).args(["token", "--keep", keep]));
        assert_eq!((code, &*stdout, server.token_requests()), (1, "", 0), "{text:?}");
        assert!(stderr.contains("seal-key is not a key") && stderr.contains("delete that file"), "{stderr}");
    }
    std::fs::remove_file(directory.path().join("seal-key")).unwrap();
    std::fs::create_dir(directory.path().join("seal-key")).unwrap();
    let (code, _, stderr) = ran(configured(&server).args(["token", "--keep", keep]));
    assert!(code == 1 && stderr.contains("seal-key is not a file"), "{stderr}");
    std::fs::remove_dir(directory.path().join("seal-key")).unwrap();
    // The forms that the library takes.
    for text in [&*format!("{}=\n", "A".repeat(43)), &format!("{}8", "_".repeat(42))] {
        written(directory.path(), "seal-key", text);
        let (code, _, stderr) = ran(configured(&server).args(["token", "--keep", keep]));
        assert!(code == 0 && !stderr.contains("seal-key"), "{text:?}: {stderr}");
    }
}

#[test]
fn calls_at_the_same_time_agree_on_a_key_and_leave_nothing_else() {
    let server = server();
    let directory = tempfile::tempdir().unwrap();
    let keep = directory.path().join("kept");
    let mut calls: Vec<_> = (0..16)
        .map(|_| configured(&server).arg("token").arg("--keep").arg(&keep).stdout(Stdio::null()).spawn().unwrap())
        .collect();
    assert!(calls.iter_mut().all(|call| call.wait().unwrap().success()));
    let mut names: Vec<_> = std::fs::read_dir(&keep).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["seal-key", "tokens"]);
    // Its name depends on the key.
    let tokens = std::fs::read_dir(keep.join("tokens")).unwrap().map(|entry| entry.unwrap().path());
    assert_eq!(tokens.filter(|path| path.extension().is_some_and(|extension| extension == "token")).count(), 1);
}

#[test]
fn a_store_that_fails_is_said_once_and_the_call_succeeds() {
    let server = server();
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("tokens");
    let path = store.to_str().unwrap();
    std::fs::write(&store, "no directory").unwrap();
    let key = written(directory.path(), "key", &"A".repeat(43));
    let cut = written(directory.path(), "cut", "");
    for (directory, key, operation) in [(path, &key, "get"), (directory.path().to_str().unwrap(), &cut, "key")] {
        let set = [format!("store.directory={directory}"), format!("store.seal_key_file={key}")];
        let arguments = ["token", "--set", &set[0], "--set", &set[1]];
        let (code, stdout, stderr) = ran(configured(&server).args(arguments));
        assert_eq!((code, stdout.lines().count(), stderr.lines().count()), (0, 1, 1), "{stderr}");
        assert!(stderr.contains(&format!("the store of tokens fails ({operation})")), "{stderr}");
        let (code, _, stderr) = ran(configured(&server).args(arguments).arg("--json"));
        let told: serde_json::Value = serde_json::from_str(&stderr).unwrap();
        assert!(code == 0 && told["warning"].as_str().unwrap().contains("the store of tokens fails"), "{told}");
    }
}

#[cfg(unix)]
#[test]
fn a_directory_to_which_others_can_write_is_no_store() {
    use std::os::unix::fs::PermissionsExt;
    let server = server();
    let directory = tempfile::tempdir().unwrap();
    let tokens = directory.path().join("tokens");
    std::fs::create_dir(&tokens).unwrap();
    std::fs::set_permissions(&tokens, std::fs::Permissions::from_mode(0o777)).unwrap();
    let (code, _, stderr) = ran(configured(&server).arg("token").arg("--keep").arg(directory.path()));
    assert!(code == 0 && stderr.contains("the store of tokens fails"), "{stderr}");
}

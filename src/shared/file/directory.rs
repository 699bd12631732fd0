//! The directory of a store, which no other user may write to or redirect.

use std::fs;
use std::io;
use std::path::Path;
#[cfg(unix)]
use std::path::PathBuf;

/// Creates the directory, and refuses one that other users can write to: they could not read tokens, but could disturb
/// the store.
pub(super) fn create(directory: &Path) -> io::Result<()> {
    check_links(directory)?;
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)?;
    // Again: a part that did not exist before may be a link now.
    check_links(directory)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let there = fs::metadata(directory)?;
        let mode = there.mode();
        if mode & 0o022 != 0 {
            let text = format!("others may write to {} (mode {:03o}): chmod go-w", directory.display(), mode & 0o777);
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        // Whatever the mode, its owner can write to it and replace files by links. A directory that we create is ours.
        if there.uid() != tempfile::tempfile_in(directory)?.metadata()?.uid() {
            let text = format!("{} belongs to another user", directory.display());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
    }
    Ok(())
}

/// Refuses a path through a symbolic link of another user, who could redirect it anywhere. Links of ours and of root
/// are followed; parts that do not exist yet have no owner.
#[cfg(unix)]
pub(super) fn check_links(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let trusted = [0, own_uid()?];
    follow(directory, |link, metadata| match trusted.contains(&metadata.uid()) {
        true => Ok(()),
        false => {
            let text =
                format!("{} leads through {}, a symbolic link of another user", directory.display(), link.display());
            Err(io::Error::new(io::ErrorKind::PermissionDenied, text))
        }
    })
}

#[cfg(not(unix))]
pub(super) fn check_links(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Checks each symbolic link on the path.
#[cfg(unix)]
fn follow(directory: &Path, ask: impl Fn(&Path, &fs::Metadata) -> io::Result<()>) -> io::Result<()> {
    let path = std::path::absolute(directory)?;
    let parts = |path: &Path| path.components().map(|part| part.as_os_str().to_owned()).collect::<Vec<_>>();
    let mut ahead = parts(&path);
    ahead.reverse();
    let (mut here, mut links) = (PathBuf::new(), 0);
    while let Some(part) = ahead.pop() {
        if part == ".." {
            here.pop();
            continue;
        }
        let next = here.join(part);
        let metadata = match fs::symlink_metadata(&next) {
            Ok(metadata) => metadata,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(e),
        };
        if !metadata.is_symlink() {
            here = next;
            continue;
        }
        ask(&next, &metadata)?;
        links += 1;
        if links > MOST_LINKS {
            return Err(io::Error::other(format!("{} leads through too many symbolic links", directory.display())));
        }
        // An absolute link begins with the root, which replaces the path so far.
        ahead.extend(parts(&fs::read_link(&next)?).into_iter().rev());
    }
    Ok(())
}

/// The number of links that Linux follows.
#[cfg(unix)]
const MOST_LINKS: u32 = 40;

#[cfg(target_os = "linux")]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere it is the owner of a new file")]
fn own_uid() -> io::Result<u32> {
    Ok(rustix::process::geteuid().as_raw())
}

#[cfg(all(unix, not(target_os = "linux")))]
fn own_uid() -> io::Result<u32> {
    use std::os::unix::fs::MetadataExt;
    Ok(tempfile::tempfile()?.metadata()?.uid())
}

#[cfg(all(test, unix))]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn each_link_on_the_path_is_checked() {
        use std::os::unix::fs::symlink;
        let place = TempDir::new().unwrap();
        let root = place.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("real/inner")).unwrap();
        symlink("real", root.join("one")).unwrap();
        symlink(root.join("one"), root.join("two")).unwrap();
        symlink("../../two/inner", root.join("real/inner/three")).unwrap();
        symlink("circle", root.join("circle")).unwrap();
        let links = |path: &str| {
            let seen = std::cell::RefCell::new(Vec::new());
            let result = follow(&root.join(path), |link, _| {
                seen.borrow_mut().push(link.strip_prefix(&root).unwrap().display().to_string());
                Ok(())
            });
            result.map(|()| seen.into_inner())
        };
        assert_eq!(links("real/inner/new/er").unwrap(), [""; 0]);
        assert_eq!(links("one/inner").unwrap(), ["one"]);
        assert_eq!(links("two/inner/new").unwrap(), ["two", "one"]);
        assert_eq!(links("one/inner/three").unwrap(), ["one", "real/inner/three", "two", "one"]);
        assert!(links("circle/a").is_err());
        symlink("real", root.join("chain1")).unwrap();
        (2..=MOST_LINKS + 1).for_each(|n| symlink(format!("chain{}", n - 1), root.join(format!("chain{n}"))).unwrap());
        assert_eq!(links("chain40").unwrap().len(), 40);
        assert!(links("chain41").is_err());
    }

    #[test]
    fn only_a_path_that_does_not_exist_may_be_created() {
        use std::os::unix::fs::MetadataExt;
        let place = TempDir::new().unwrap();
        fs::write(place.path().join("file"), "").unwrap();
        let follow = |path: &str| follow(&place.path().join(path), |_, _| Ok(()));
        assert!(follow("new/er").is_ok());
        assert_eq!(follow("file/new").unwrap_err().kind(), io::ErrorKind::NotADirectory);
        assert_eq!(own_uid().unwrap(), place.path().metadata().unwrap().uid());
    }
}

//! A disk so small that a story can fill it: a tmpfs of its own.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, ErrorKind, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

/// Mounts a disk until its standard input ends, which it does however the test process ends. What still uses the
/// disk then keeps it until it ends too.
const KEEP: &str = r#"
    trap '' INT TERM
    mount -t tmpfs -o "size=$SIZE,mode=755" weir-story "$FOLDER" || exit 1
    echo mounted
    cat > /dev/null
    umount --lazy "$FOLDER"
    rmdir "$FOLDER"
"#;

/// A mounted disk; gone when dropped, or when the test process ends.
#[derive(Debug)]
pub struct Disk {
    keeper: Child,
    folder: PathBuf,
}

impl Disk {
    /// An empty disk. Fails where this process may not mount one: a story that could not fill a disk shows nothing.
    pub fn of_mebibytes(size: u32) -> Self {
        let folder = TempDir::with_prefix("weir-disk-").unwrap().keep();
        let mut keeper = Command::new("sh")
            .args(["-c", KEEP])
            .env("SIZE", format!("{size}m"))
            .env("FOLDER", &folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(
            said, "mounted\n",
            "the stories of full disks need `mount -t tmpfs` and `umount`, and the right to mount (root, or \
             CAP_SYS_ADMIN in a container)"
        );
        Self { keeper, folder }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Takes all the space that is left.
    pub fn fill(&self) {
        let mut filler = File::create(self.filler()).unwrap();
        let zeros = vec![0; 64 << 10];
        let refusal = loop {
            if let Err(refusal) = filler.write_all(&zeros) {
                break refusal;
            }
        };
        assert_eq!(refusal.kind(), ErrorKind::StorageFull, "{refusal}");
    }

    /// Gives the space back.
    pub fn free(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.folder.join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

//! Small disks that a story can fill, each a tmpfs.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, ErrorKind, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

/// Keeps a disk mounted until the script's standard input ends, which happens however the test process ends. The
/// unmount is lazy: a process that still uses the disk keeps it until that process ends too.
const KEEP: &str = r#"
    trap '' INT TERM
    mount -t tmpfs -o "size=$SIZE,mode=755" weir-story "$FOLDER" || exit 1
    echo mounted
    cat > /dev/null
    umount --lazy "$FOLDER"
    rmdir "$FOLDER"
"#;

/// A mounted disk. It is unmounted when dropped, or when the test process ends.
#[derive(Debug)]
pub struct Disk {
    keeper: Child,
    folder: PathBuf,
}

impl Disk {
    /// Mounts an empty disk of so many mebibytes. Fails if this process may not mount: a story that can't fill a disk
    /// shows nothing.
    pub fn mount_mebibytes(size: u32) -> Self {
        let folder = TempDir::with_prefix("weir-disk-").unwrap().keep();
        let mut keeper = Command::new("sh")
            .args(["-c", KEEP])
            .env("SIZE", format!("{size}m"))
            .env("FOLDER", &folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut reported = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut reported).unwrap();
        assert_eq!(
            reported, "mounted\n",
            "the stories of full disks need `mount -t tmpfs` and `umount`, and the right to mount (root, or \
             CAP_SYS_ADMIN in a container)"
        );
        Self { keeper, folder }
    }

    /// The mount point.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes a file until the disk is full.
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

    /// Removes the file that fills the disk.
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

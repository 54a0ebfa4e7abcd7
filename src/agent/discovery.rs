//! Where an ONNX Runtime may lie.
use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Start of the library's file name; a version may follow.
const LIBRARY: &str = if cfg!(target_os = "macos") {
    "libonnxruntime."
} else if cfg!(windows) {
    "onnxruntime.dll"
} else {
    "libonnxruntime.so"
};

/// How long Python may take to say where its packages are.
const PYTHON_DEADLINE: Duration = Duration::from_secs(5);

/// What Python is asked: one folder of packages a line.
const PYTHON_QUESTION: &str =
    "import site; print(*site.getsitepackages(), site.getusersitepackages(), sep='\\n')";

/// Where to look, in this order.
pub struct Places {
    /// `ORT_DYLIB_PATH`; nothing else counts if it is set.
    pub given: Option<OsString>,
    /// `VIRTUAL_ENV`.
    pub virtual_env: Option<PathBuf>,
    /// Python to be asked where its packages are.
    pub python: PathBuf,
    /// `LD_LIBRARY_PATH` and the usual folders.
    pub library_folders: Vec<PathBuf>,
}

impl Places {
    /// As the environment of this process names them.
    pub fn of_this_process() -> Self {
        let given = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
        let usual = ["/usr/local/lib", "/usr/lib", "/usr/lib64", "/lib"].map(PathBuf::from);
        let multiarch = PathBuf::from(format!("/usr/lib/{}-linux-gnu", env::consts::ARCH));
        Places {
            given: env::var_os("ORT_DYLIB_PATH").filter(|given| !given.is_empty()),
            virtual_env: env::var_os("VIRTUAL_ENV").map(PathBuf::from),
            python: PathBuf::from("python3"),
            library_folders: env::split_paths(&given).chain(usual).chain([multiarch]).collect(),
        }
    }

    /// The library to load, or why there is none and what to do. Starts Python if it must.
    pub fn find(&self) -> Result<PathBuf, String> {
        if let Some(given) = &self.given {
            return existing(Path::new(given));
        }
        let in_environment = || self.virtual_env.as_ref().and_then(|env| in_virtual_env(env));
        let in_python = || packages_of(&self.python).iter().find_map(|p| in_packages(p));
        let in_system = || self.library_folders.iter().find_map(|folder| last_library(folder));
        in_environment().or_else(in_python).or_else(in_system).ok_or_else(|| {
            "ONNX Runtime was not found; run `pip install onnxruntime`, or set ORT_DYLIB_PATH to \
             the library"
                .to_owned()
        })
    }
}

fn existing(given: &Path) -> Result<PathBuf, String> {
    match given.is_file() {
        true => Ok(given.to_owned()),
        false => Err(format!(
            "ORT_DYLIB_PATH, or `onnxruntime` in the device's profile, names `{}`, which is not a \
             file; correct it, or leave it out to search",
            given.display()
        )),
    }
}

/// `ENV/lib/python3.*/site-packages`.
fn in_virtual_env(env: &Path) -> Option<PathBuf> {
    children(&env.join("lib")).iter().find_map(|python| in_packages(&python.join("site-packages")))
}

/// The library inside the wheel of `onnxruntime`.
fn in_packages(packages: &Path) -> Option<PathBuf> {
    last_library(&packages.join("onnxruntime/capi"))
}

/// Asks `python`; no answer in time is none.
fn packages_of(python: &Path) -> Vec<PathBuf> {
    let question = Command::new(python)
        .args(["-c", PYTHON_QUESTION])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = question else { return Vec::new() };
    let Some(mut pipe) = child.stdout.take() else { return Vec::new() };
    let (sender, answer) = mpsc::channel();
    thread::spawn(move || {
        let mut text = String::new();
        // Half an answer is as good as none: the folders in it are checked.
        pipe.read_to_string(&mut text).ok();
        sender.send(text).ok();
    });
    let text = answer.recv_timeout(PYTHON_DEADLINE).unwrap_or_default();
    // It has ended or it never will.
    child.kill().ok();
    child.wait().ok();
    text.lines().map(PathBuf::from).collect()
}

/// The library of the last name in `folder`.
fn last_library(folder: &Path) -> Option<PathBuf> {
    let is_library = |file: &PathBuf| {
        let name = file.file_name().map(|n| n.to_string_lossy().into_owned());
        name.is_some_and(|n| n.starts_with(LIBRARY)) && file.is_file()
    };
    children(folder).into_iter().rfind(is_library)
}

/// What lies in `folder`, by name.
fn children(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut children: Vec<PathBuf> = entries.map(|e| e.path()).collect();
    children.sort();
    children
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    /// A folder that goes with the test.
    struct Folder(PathBuf);

    impl Folder {
        fn with(test: &str, files: &[&str]) -> Self {
            let root = env::temp_dir().join(format!("citronade-{}-{test}", std::process::id()));
            for file in files {
                fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
                fs::write(root.join(file), "").unwrap();
            }
            Folder(root)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).ok();
        }
    }

    fn nowhere() -> Places {
        Places {
            given: None,
            virtual_env: None,
            python: PathBuf::from("/nowhere/python3"),
            library_folders: Vec::new(),
        }
    }

    const WHEEL: &str = "lib/python3.11/site-packages/onnxruntime/capi/libonnxruntime.so.1.32.0";

    #[test]
    fn what_was_given_is_taken_and_nothing_else() {
        let folder = Folder::with("given", &["a.so", WHEEL]);
        let virtual_env = Some(folder.0.clone());
        let given = Places { given: Some(folder.0.join("a.so").into()), virtual_env, ..nowhere() };
        assert_eq!(given.find(), Ok(folder.0.join("a.so")));
        let wrong = Places { given: Some("/nowhere/b.so".into()), ..given };
        assert!(wrong.find().unwrap_err().contains("`/nowhere/b.so`, which is not a file"));
    }

    #[test]
    fn the_wheel_of_a_virtual_environment_comes_before_the_systems_library() {
        let folder = Folder::with("wheel", &[WHEEL, "usr/libonnxruntime.so.1"]);
        let library_folders = vec![folder.0.join("usr")];
        let places = Places { virtual_env: Some(folder.0.clone()), library_folders, ..nowhere() };
        assert_eq!(places.find(), Ok(folder.0.join(WHEEL)));
        let places = Places { virtual_env: None, ..places };
        assert_eq!(places.find(), Ok(folder.0.join("usr/libonnxruntime.so.1")));
    }

    #[test]
    fn python_is_asked_where_its_packages_are() {
        use std::os::unix::fs::PermissionsExt;
        let folder = Folder::with("python", &[WHEEL, "python3"]);
        let python = folder.0.join("python3");
        let packages = folder.0.join("lib/python3.11/site-packages");
        fs::write(&python, format!("#!/bin/sh\necho '{}'\n", packages.display())).unwrap();
        fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(Places { python, ..nowhere() }.find(), Ok(folder.0.join(WHEEL)));
    }

    #[test]
    fn nothing_found_is_told_with_a_way_out() {
        assert!(nowhere().find().unwrap_err().contains("pip install onnxruntime"));
    }
}

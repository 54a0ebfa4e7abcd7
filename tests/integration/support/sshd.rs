//! A board: a real `sshd` on loopback with keys of its own.
use std::fs;
use std::fs::Permissions;
use std::io::BufRead;
use std::io::BufReader;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use citronade::device::Ssh;
use nix::sys::signal::Signal;
use nix::sys::signal::killpg;
use nix::unistd::Pid;
use std::os::unix::process::CommandExt;
use tempfile::TempDir;

use crate::support::skipped::not_tried;

const SSHD: &str = "/usr/sbin/sshd";

/// The daemon; dropped, it is gone with all its sessions.
pub struct Board {
    host: String,
    port: u16,
    home: TempDir,
    sshd: Child,
}

impl Board {
    /// On loopback. Says so and returns `None` where there is no `sshd`.
    pub fn start() -> Option<Board> {
        Board::started("127.0.0.1", &[], |_| String::new())
    }

    /// Whose sessions all begin with `script`, which is to run the command `$SSH_ORIGINAL_COMMAND`.
    pub fn with_login(script: &Path) -> Option<Board> {
        Board::started("127.0.0.1", &[], |_| format!("ForceCommand {}\n", script.display()))
    }

    /// In a network of its own, where it has the address `host` as soon as somebody gives it to it.
    pub fn apart(host: &str) -> Option<Board> {
        Board::started(host, &["unshare", "--net"], |_| String::new())
    }

    /// A 64-bit ARM board, whose runner is started by `emulator`.
    pub fn start_emulated(emulator: &str) -> Option<Board> {
        Board::started("127.0.0.1", &[], |home| {
            let (uname, shell) = (home.join("bin/uname"), home.join("shell"));
            fs::create_dir(home.join("bin")).unwrap();
            write_program(&uname, "[ \"$*\" = -m ] && echo aarch64 || exec /bin/uname \"$@\"");
            let folder = home.join("bin").display().to_string();
            write_program(
                &shell,
                &format!(
                    "PATH={folder}:$PATH\nexec sh -c \"$(printf %s \"$SSH_ORIGINAL_COMMAND\" |\n\
                     sed 's|\\./runner-|{emulator} &|g')\""
                ),
            );
            format!("ForceCommand {}\n", shell.display())
        })
    }

    /// Started by `launcher`, which becomes it, with what `more` says of its configuration, and makes
    /// in its home.
    fn started(host: &str, launcher: &[&str], more: impl Fn(&Path) -> String) -> Option<Board> {
        if !Path::new(SSHD).is_file() {
            not_tried(&format!("not tried over ssh: there is no {SSHD} (Debian: openssh-server)"));
            return None;
        }
        let home = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port();
        for key in ["host", "user", "stranger"] {
            make_key(&home.path().join(key));
        }
        let at = |name: &str| home.path().join(name).display().to_string();
        fs::copy(at("user.pub"), at("authorized")).unwrap();
        let host_key = fs::read_to_string(at("host.pub")).unwrap();
        fs::write(at("known"), format!("[{host}]:{port} {host_key}")).unwrap();
        let config = format!(
            "ListenAddress {}\nPort {port}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\n\
             UsePAM no\nStrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
             MaxStartups 100\n{}",
            if launcher.is_empty() { host } else { "0.0.0.0" },
            at("host"),
            at("authorized"),
            more(home.path())
        );
        fs::write(at("config"), config).unwrap();
        // Where root's sshd locks a part of itself up.
        fs::create_dir_all("/run/sshd").ok();
        let mut words = launcher.iter().chain(&[SSHD]);
        let mut sshd = Command::new(words.next().expect("sshd at least"))
            .args(words)
            .args(["-D", "-e", "-f", &at("config")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let mut log = BufReader::new(sshd.stderr.take().unwrap());
        let mut lines = String::new();
        while !lines.contains("Server listening") {
            let read = log.read_line(&mut lines).unwrap();
            assert!(read > 0, "sshd does not start: {lines}");
        }
        // Nobody reads on: it must not block on a full pipe.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Some(Board { host: host.to_owned(), port, home, sshd })
    }

    /// As its user reaches it.
    pub fn ssh(&self) -> Ssh {
        self.ssh_as("user", "known")
    }

    /// With the key `identity` and the known hosts in the file `known`.
    pub fn ssh_as(&self, identity: &str, known: &str) -> Ssh {
        let ssh = Ssh::new(&self.host, Some(self.port)).unwrap();
        self.options(identity, known).into_iter().fold(ssh, Ssh::with_option)
    }

    /// The same as options of `ssh`, for a shell.
    pub fn configuration(&self, identity: &str, known: &str) -> String {
        self.options(identity, known).map(|option| format!("-o '{option}'")).join(" ")
    }

    /// The same as lines of a configuration.
    pub fn lines(&self, identity: &str, known: &str) -> String {
        self.options(identity, known).map(|option| option.replacen('=', " ", 1) + "\n").concat()
    }

    fn options(&self, identity: &str, known: &str) -> [String; 6] {
        let at = |name: &str| self.home.path().join(name).display().to_string();
        [
            format!("IdentityFile={}", at(identity)),
            "IdentitiesOnly=yes".to_owned(),
            "IdentityAgent=none".to_owned(),
            format!("UserKnownHostsFile={}", at(known)),
            "GlobalKnownHostsFile=none".to_owned(),
            "StrictHostKeyChecking=yes".to_owned(),
        ]
    }

    /// Where it listens, on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A folder of its own.
    pub fn folder(&self) -> PathBuf {
        self.home.path().join("work")
    }

    /// Processes of connections that are open.
    pub fn sessions(&self) -> Vec<Pid> {
        children(self.sshd.id())
    }

    /// The daemon.
    pub fn pid(&self) -> u32 {
        self.sshd.id()
    }

    /// Power failure: the daemon and all sessions are gone.
    pub fn kill(&mut self) {
        for session in children(self.sshd.id()) {
            killpg(session, Signal::SIGKILL).ok();
        }
        killpg(pid(self.sshd.id()), Signal::SIGKILL).ok();
        self.sshd.wait().unwrap();
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        self.kill();
    }
}

fn pid(id: u32) -> Pid {
    Pid::from_raw(i32::try_from(id).unwrap())
}

/// Processes that `parent` has started and their children: each session is a group of its own.
fn children(parent: u32) -> Vec<Pid> {
    let list = Path::new("/proc").join(format!("{parent}/task/{parent}/children"));
    let text = fs::read_to_string(list).unwrap_or_default();
    let ids: Vec<u32> = text.split_whitespace().map(|id| id.parse().unwrap()).collect();
    ids.iter().flat_map(|id| [children(*id), vec![pid(*id)]].concat()).collect()
}

fn write_program(path: &Path, text: &str) {
    fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
}

fn make_key(path: &Path) {
    let made =
        Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path).status();
    assert!(made.unwrap().success());
}

//! Shells that say what nobody has asked for, and files that are no runners.
use std::fs;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;

use citronade::agent::Answer;
use citronade::agent::Fill;
use citronade::agent::RunRequest;
use citronade::agent::TINY_MODEL;
use citronade::agent::Task;
use citronade::device::DeviceError;
use citronade::device::Remote;
use citronade::device::Runner;
use citronade::device::Runners;
use citronade::device::Transport;

use crate::device::AGENT;
use crate::remote;
use crate::remote::Folder;
use crate::remote::PATIENCE;
use crate::remote::ROOM;
use crate::support::adbd::AdbServer;
use crate::support::adbd::Phone;
use crate::support::models;
use crate::support::sshd::Board;

/// What login shells have been seen to say: a message of the day, an `echo` of a `.bashrc`, a
/// progress bar, bytes that are no text, a line without end, and what looks like an answer.
fn greetings() -> Vec<Vec<u8>> {
    let answer = br#"{"protocol":1,"id":1,"answer":{"refused":{"kind":"model","reason":""}}}"#;
    vec![
        b"Linux pi5 6.12\nYou have new mail.\n\n".to_vec(),
        b"loading nvm... ".to_vec(),
        b"\x1b]0;pi5\x07\x1b[1m50 %\r100 %\r".to_vec(),
        (0..=255).cycle().take(20_000).collect(),
        vec![b'.'; 4096 - 8],
        vec![b'.'; 100_000],
        [&answer[..], b"\ncitronade-end 0\n"].concat(),
    ]
}

/// A login shell that says what is in the file `greeting` to both outputs.
fn login(greeting: &Path) -> PathBuf {
    let script = greeting.with_extension("sh");
    let text = format!(
        "#!/bin/sh\ncat {0}; cat {0} >&2\nexec sh -c \"$SSH_ORIGINAL_COMMAND\"\n",
        greeting.display()
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
    script
}

/// A file is brought there, and the runner on it computes.
#[track_caller]
fn check_understood(device: &dyn Transport) {
    let (_folder, path) = models::file(TINY_MODEL);
    let model = device.place(&path, &remote::hash(&path)).unwrap();
    let runtime = "tract".to_owned();
    let task = RunRequest { model, runtime, library: None, threads: 1, fill: Fill::Ramp };
    let answer = Runner::launch(device).unwrap().ask(Task::Run(task), PATIENCE).unwrap();
    assert!(matches!(answer, Answer::Outputs(_)), "{answer:?}");
}

#[test]
fn what_the_login_shell_of_a_board_says_is_no_answer() {
    let folder = tempfile::tempdir().unwrap();
    let greeting = folder.path().join("greeting");
    let Some(board) = Board::with_login(&login(&greeting)) else { return };
    for said in greetings() {
        fs::write(&greeting, &said).unwrap();
        check_understood(&remote::remote(board.ssh(), &Folder::of_board(&board)));
    }
}

#[test]
fn what_the_shell_of_a_phone_says_is_no_answer() {
    let Some(server) = AdbServer::start() else { return };
    let phone = Phone::start();
    for said in greetings() {
        phone.set_garbage(said);
        check_understood(&*remote::phone(&server, &phone));
    }
}

/// A file that begins like a program for `machine`.
fn elf(machine: u8) -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(18, 0);
    bytes.extend([machine, 0]);
    bytes.resize(4096, 0);
    bytes
}

/// The runner, which asks for a loader that is not there, as one built for another C library does.
fn without_loader() -> Vec<u8> {
    let mut bytes = fs::read(AGENT).unwrap();
    let loader = b"/lib64/ld-linux-";
    let at = bytes.windows(loader.len()).position(|w| w == loader).expect("it is for glibc");
    bytes[at..at + 6].copy_from_slice(b"/no-64");
    bytes
}

#[track_caller]
fn check_wrong(board: &Board, file: &[u8], part: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent");
    fs::write(&path, file).unwrap();
    let runners = Runners { given: Some(path.clone()), ..Runners::default() };
    let there = Folder::of_board(board).there;
    let device = Remote::new(board.ssh(), runners, &there, ROOM).unwrap();
    let error = Runner::launch(&device).map(|_| ()).unwrap_err();
    let DeviceError::WrongRunner { path: found, reason, .. } = &error else { panic!("{error:?}") };
    assert_eq!(*found, path);
    assert!(reason.contains(part), "{reason}");
    assert!(error.concerns_every_model() && error.hint().is_some());
    assert!(remote::names(&board.folder()).is_empty(), "it is left behind");
}

#[test]
fn a_runner_for_another_processor_or_system_is_named() {
    let Some(board) = Board::start() else { return };
    if cfg!(target_arch = "x86_64") {
        check_wrong(&board, &elf(0xb7), "it is for aarch64, the device is x86_64");
        check_wrong(&board, &elf(0x28), "it is for armv7, the device is x86_64");
        check_wrong(&board, &elf(0x3e), "it does not run there");
        check_wrong(&board, &without_loader(), "it does not run there");
    }
    check_wrong(&board, b"#!/bin/sh\nexit 0\n#and more", "it is not a program for Linux");
}

//! What is known of devices' health between processes: a small file each.
use std::env;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use super::Link;
use super::health::Event;
use super::health::Health;
use super::kept::lock;
use super::kept::replace;

/// The health of one device, shared by all processes of this user.
///
/// A file that is damaged counts as none. Where nothing can be written, this process remembers
/// what it learns.
#[derive(Debug)]
pub struct Ledger {
    file: Option<PathBuf>,
    /// For want of a file.
    own: Mutex<Health>,
}

impl Ledger {
    /// Of the device behind `link`, whatever it is called: in the folder `devices` of
    /// `$CITRONADE_STATE_DIR`, else of `$XDG_STATE_HOME/citronade`, else of
    /// `~/.local/state/citronade`.
    pub fn of(link: &Link) -> Ledger {
        let folder = state_folder();
        Ledger::in_folder(folder.map(|folder| folder.join("devices")).as_deref(), link)
    }

    /// In `folder`; with none, only this process remembers.
    pub fn in_folder(folder: Option<&Path>, link: &Link) -> Ledger {
        let address = link.to_string();
        let hash = blake3::hash(address.as_bytes()).to_hex();
        let name = format!("{}-{}.json", link.transport(), &hash[..16]);
        Ledger { file: folder.map(|folder| folder.join(name)), own: Mutex::default() }
    }

    /// What is known by now.
    pub fn health(&self) -> Health {
        self.read().unwrap_or_else(|| self.own().clone())
    }

    /// Takes note of `event`; what is known then.
    pub fn note(&self, event: &Event) -> Health {
        let known = self.health();
        let after = |mut health: Health| {
            health.apply(event);
            health
        };
        let health = after(known.clone());
        if health == known {
            return health;
        }
        // Another process may have noted something since.
        let health = self.change(&after).unwrap_or(health);
        *self.own() = health.clone();
        health
    }

    fn own(&self) -> MutexGuard<'_, Health> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> Option<Health> {
        serde_json::from_slice(&fs::read(self.file.as_ref()?).ok()?).ok()
    }

    /// Changes the file, alone; at every moment it is whole.
    fn change(&self, after: &dyn Fn(Health) -> Health) -> io::Result<Health> {
        let file = self.file.as_ref().ok_or(io::ErrorKind::NotFound)?;
        fs::create_dir_all(file.parent().unwrap_or(Path::new(".")))?;
        let _lock = lock(file)?;
        let health = after(self.health());
        replace(file, &serde_json::to_vec(&health)?)?;
        Ok(health)
    }
}

fn state_folder() -> Option<PathBuf> {
    let path = |name| env::var_os(name).filter(|text| !text.is_empty()).map(PathBuf::from);
    // A relative `XDG_STATE_HOME` is to be ignored: XDG Base Directory Specification 0.8.
    let xdg = || path("XDG_STATE_HOME").filter(|p| p.is_absolute()).map(|p| p.join("citronade"));
    let home = || path("HOME").map(|home| home.join(".local/state/citronade"));
    path("CITRONADE_STATE_DIR").or_else(xdg).or_else(home)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::super::State;
    use super::*;

    fn fault() -> Event {
        Event::Fault { reason: "it hung".to_owned() }
    }

    fn pixel() -> Link {
        Link::Adb { serial: "39281FDJH0".to_owned() }
    }

    fn ledger(folder: &Path) -> Ledger {
        Ledger::in_folder(Some(folder), &pixel())
    }

    #[test]
    fn what_one_process_notes_another_knows_of_this_device_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let folder = &folder.path().join("new/devices");
        for _ in 0..3 {
            ledger(folder).note(&fault());
        }
        assert_eq!(ledger(folder).health().state(), State::Quarantined);
        let other = Link::Adb { serial: "39281FDJH1".to_owned() };
        assert_eq!(Ledger::in_folder(Some(folder), &other).health(), Health::default());
    }

    #[test]
    fn what_is_noted_at_the_same_time_is_not_lost() {
        let folder = tempfile::tempdir().unwrap();
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let ledger = ledger(folder.path());
                    (0..5).for_each(|_| drop(ledger.note(&fault())));
                });
            }
        });
        assert_eq!(ledger(folder.path()).health().faults(), 40);
    }

    #[test]
    fn a_damaged_file_counts_as_none_and_is_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let file = ledger(folder.path()).file.unwrap();
        for damage in ["", "{\"faults\":3", "[]", "\u{0}\u{0}", "{\"faults\":\"many\"}"] {
            fs::write(&file, damage).unwrap();
            let ledger = ledger(folder.path());
            assert_eq!(ledger.health(), Health::default(), "{damage:?}");
            assert_eq!(ledger.note(&fault()).faults(), 1);
            assert_eq!(super::tests::ledger(folder.path()).health().faults(), 1, "{damage:?}");
        }
    }

    #[test]
    fn where_nothing_can_be_written_the_process_remembers() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for folder in [Some(file.path()), None] {
            let ledger = Ledger::in_folder(folder, &pixel());
            let states = [(); 3].map(|()| ledger.note(&fault()).state());
            assert_eq!(states, [State::Faulty, State::Faulty, State::Quarantined]);
            assert_eq!(ledger.health().state(), State::Quarantined);
        }
    }

    #[test]
    fn nothing_new_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = ledger(folder.path());
        ledger.note(&Event::Answered);
        assert!(!ledger.file.as_ref().unwrap().exists());
        ledger.note(&Event::Suspected);
        assert!(ledger.file.unwrap().exists());
    }
}

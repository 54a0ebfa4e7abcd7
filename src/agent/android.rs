//! What Android's services tell and its kernel does not: thermal status, temperatures, battery,
//! screen.
use std::env;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::ChildStdin;
use std::process::ChildStdout;
use std::process::Command;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::Duration;

use super::conditions::Battery;
use super::conditions::Conditions;
use super::conditions::Facts;

/// How long a service may take.
const DEADLINE: Duration = Duration::from_secs(3);

/// What the shell says at the end of an answer.
const END: &str = "citronade-end-of-answer";

/// Adds what the services tell to what the kernel told, if this is Android. Costs some hundredths
/// of a second there, so it is not for right before a sample.
pub fn ask(conditions: &mut Conditions) {
    start();
    let mut asker = ASKER.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(asker) = asker.as_mut() else { return };
    let mut say = |service| asker.ask(service);
    if let Some(text) = say("thermalservice") {
        conditions.thermal_status = thermal_status(&text);
        conditions.temperatures_c =
            conditions.temperatures_c.take().or_else(|| temperatures(&text));
    }
    conditions.battery = conditions.battery.or_else(|| battery(&say("battery")?));
    conditions.screen_on = say("power").and_then(|text| screen_on(&text));
}

/// Adds what Android's properties tell of the phone, if this is one.
pub fn tell(facts: &mut Facts) {
    let Some(getprop) = program("getprop") else { return };
    let Ok(said) = Command::new(getprop).stdin(Stdio::null()).output() else { return };
    add(facts, &String::from_utf8_lossy(&said.stdout));
}

/// From the list of all properties.
fn add(facts: &mut Facts, properties: &str) {
    let property = |name: &str| {
        let begin = format!("[{name}]: [");
        let value = properties.lines().find_map(|l| l.strip_prefix(&begin)?.strip_suffix(']'))?;
        (!value.is_empty()).then(|| value.to_owned())
    };
    facts.model = property("ro.product.model");
    facts.soc = property("ro.soc.model");
    facts.build = property("ro.build.fingerprint");
    // The images of Android's emulator set one of these.
    let is_set = |name: &&str| property(name).as_deref() == Some("1");
    if ["ro.boot.qemu", "ro.kernel.qemu"].iter().any(is_set) {
        facts.emulated = Some(true);
    }
}

/// A program that asks the system; there is none elsewhere.
fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// Asks services for a process that may start no programs any more.
struct Asker {
    questions: ChildStdin,
    /// Not read yet.
    pipe: Option<ChildStdout>,
    answers: Option<Receiver<String>>,
}

static ASKER: Mutex<Option<Asker>> = Mutex::new(None);

/// Starts what [`ask`] needs, if this is Android and it was not started yet: to be called before
/// the process enters its sandbox. Starts no thread, which would stay outside.
pub fn start() {
    let mut asker = ASKER.lock().unwrap_or_else(PoisonError::into_inner);
    if asker.is_none() {
        *asker = program("dumpsys").and_then(|dumpsys| Asker::start(&dumpsys));
    }
}

impl Asker {
    /// A shell that knows these questions, whatever it is asked, and ends with its input.
    fn start(dumpsys: &Path) -> Option<Self> {
        let script = format!(
            "while read -r q; do case $q in thermalservice|battery|power) \"$0\" $q;; esac; echo {END}; \
             done"
        );
        let mut child = Command::new("sh")
            .args(["-c", &script])
            .arg(dumpsys)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let questions = child.stdin.take()?;
        Some(Asker { questions, pipe: child.stdout.take(), answers: None })
    }

    /// `None` from the first answer on that is late.
    fn ask(&mut self, service: &str) -> Option<String> {
        writeln!(self.questions, "{service}").ok()?;
        self.answers = self.answers.take().or_else(|| self.pipe.take().map(answers_of));
        let answer = self.answers.as_ref()?.recv_timeout(DEADLINE).ok();
        self.answers = self.answers.take().filter(|_| answer.is_some());
        answer
    }
}

fn answers_of(pipe: ChildStdout) -> Receiver<String> {
    let (sender, answers) = mpsc::channel();
    thread::spawn(move || {
        let mut text = String::new();
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if line == END {
                // Nobody waits for one that is late.
                sender.send(std::mem::take(&mut text)).ok();
            } else {
                text = text + &line + "\n";
            }
        }
    });
    answers
}

/// 0 none, 1 light, 2 moderate, 3 severe, 4 critical, 5 emergency, 6 shutdown.
fn thermal_status(text: &str) -> Option<u8> {
    let status = text.lines().find_map(|l| l.trim().strip_prefix("Thermal Status:"))?;
    status.trim().parse().ok().filter(|status| *status <= 6)
}

/// `Temperature{mValue=33.5, mType=3, mName=VIRTUAL-SKIN, mStatus=0}` of those that are current,
/// else of those that were kept; hottest first.
fn temperatures(text: &str) -> Option<Vec<(String, f64)>> {
    let current = text.split_once("Current temperatures from HAL:").map_or(text, |(_, now)| now);
    let zone = |line: &str| {
        let fields = line.trim().strip_prefix("Temperature{")?.strip_suffix('}')?;
        let field =
            |name: &str| fields.split(", ").find_map(|f| f.strip_prefix(name)?.strip_prefix('='));
        let celsius = field("mValue")?.parse::<f64>().ok()?;
        let is_possible = (-40.0..=200.0).contains(&celsius);
        is_possible.then_some((field("mName")?.to_owned(), celsius))
    };
    let mut zones: Vec<_> = current.lines().filter_map(zone).collect();
    zones.sort_by(|a, b| b.1.total_cmp(&a.1));
    (!zones.is_empty()).then_some(zones)
}

/// `mWakefulness=Awake`, `Dreaming` (a screen saver), `Dozing` or `Asleep`: `dump` of
/// `PowerManagerService` in the Android Open Source Project.
fn screen_on(text: &str) -> Option<bool> {
    match text.lines().find_map(|l| l.trim().strip_prefix("mWakefulness="))? {
        "Awake" | "Dreaming" => Some(true),
        "Dozing" | "Asleep" => Some(false),
        _ => None,
    }
}

fn battery(text: &str) -> Option<Battery> {
    let field = |name: &str| {
        let value = text.lines().find_map(|l| l.trim().strip_prefix(name)?.strip_prefix(':'))?;
        value.trim().parse::<f64>().ok()
    };
    let percent = Some(100.0 * field("level")? / field("scale").filter(|scale| *scale > 0.0)?);
    // `BatteryManager`: 2 charging, 3 discharging, 4 not charging, 5 full.
    let charging = match field("status") {
        Some(2.0 | 5.0) => Some(true),
        Some(3.0 | 4.0) => Some(false),
        _ => None,
    };
    let celsius = field("temperature").map(|tenths| tenths / 10.0);
    let percent = percent.filter(|p| (0.0..=100.0).contains(p));
    Some(Battery { percent, charging, celsius })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_asked_by_a_shell_that_knows_no_other_question() {
        let mut asker = Asker::start(Path::new("echo")).unwrap();
        assert_eq!(asker.ask("battery").as_deref(), Some("battery\n"));
        assert_eq!(asker.ask("battery; id").as_deref(), Some(""));
        assert_eq!(asker.ask("thermalservice").as_deref(), Some("thermalservice\n"));
    }

    #[test]
    fn the_phone_is_named_by_its_properties() {
        let mut phone = Facts { emulated: Some(false), ..Facts::default() };
        let properties = "[ro.build.fingerprint]: [google/shiba/shiba:14/UQ1A]\n\
             [ro.kernel.qemu]: [0]\n[ro.product.model]: [Pixel 8]\n[ro.product.model.x]: [no]\n\
             [ro.soc.model]: []\n";
        add(&mut phone, properties);
        assert_eq!(phone.model.as_deref(), Some("Pixel 8"));
        assert_eq!(phone.build.as_deref(), Some("google/shiba/shiba:14/UQ1A"));
        assert_eq!((phone.soc.as_deref(), phone.emulated), (None, Some(false)));
        add(&mut phone, "[ro.boot.qemu]: [1]\n");
        assert_eq!(phone.emulated, Some(true));
    }

    const THERMAL: &str = "IsStatusOverride: false\nThermal Status: 3\nCached temperatures:\n\
        \tTemperature{mValue=90.0, mType=0, mName=OLD, mStatus=0}\nHAL Ready: true\n\
        Current temperatures from HAL:\n\
        \tTemperature{mValue=33.5, mType=3, mName=VIRTUAL-SKIN, mStatus=3}\n\
        \tTemperature{mValue=47.2, mType=0, mName=BIG, mStatus=0}\n\
        \tTemperature{mValue=-3276.8, mType=0, mName=BROKEN, mStatus=0}\n\
        Current cooling devices from HAL:\n\tCoolingDevice{mValue=0, mType=2, mName=cpu0}\n";

    #[test]
    fn the_thermal_service_is_read() {
        assert_eq!(thermal_status(THERMAL), Some(3));
        let zones = vec![("BIG".to_owned(), 47.2), ("VIRTUAL-SKIN".to_owned(), 33.5)];
        assert_eq!(temperatures(THERMAL), Some(zones));
        assert_eq!((thermal_status("Thermal Status: 9"), temperatures("nothing")), (None, None));
    }

    #[test]
    fn the_power_service_is_read() {
        let at = |state: &str| {
            screen_on(&format!("POWER MANAGER\n\nState:\n  mWakefulness={state}\n  mIsPowered=1\n"))
        };
        assert_eq!(
            [at("Awake"), at("Asleep"), at("Dozing")],
            [Some(true), Some(false), Some(false)]
        );
        assert_eq!([at("?"), screen_on("mWakefulnessChanging=false")], [None; 2]);
    }

    #[test]
    fn the_battery_service_is_read() {
        let text = "Current Battery Service state:\n  status: 3\n  level: 38\n  scale: 50\n  \
                    temperature: 294\n";
        let battery = battery(text).unwrap();
        assert_eq!((battery.percent, battery.charging), (Some(76.0), Some(false)));
        assert_eq!(battery.celsius, Some(29.4));
        assert_eq!(super::battery("Can't find service: battery"), None);
    }
}

//! `citronade init`: a commented configuration, and a check of the data.
use std::path::Path;

use anyhow::Context;
use serde_json::json;

use crate::data;
use crate::data::LoadOptions;
use crate::engine::Limit;

use super::Exit;
use super::args::Init;
use super::exit::UsageError;
use super::inspect;
use super::output;
use super::search;

/// Writes a configuration of less than 40 lines and says what the data set holds.
pub fn run(args: &Init, json: bool) -> anyhow::Result<Exit> {
    let options = LoadOptions::default();
    let data = data::load(&args.data, &options)
        .with_context(|| format!("cannot use the data set `{}`", args.data))?;
    let limits = args.limit.iter().map(|text| {
        text.parse::<Limit>().map(|_| text.as_str()).map_err(|e| UsageError(e.to_string()))
    });
    let limits = limits.collect::<Result<Vec<_>, _>>()?;
    search::say_notes(&data);
    output::note(&search::data_text(&data));
    let text = template(&args.data, &args.device, &limits);
    let to_stdout = args.out == Path::new("-");
    if args.out.exists() && !to_stdout {
        let text = format!("`{}` is there already; name another --out", args.out.display());
        return Err(UsageError(text).into());
    }
    if !to_stdout {
        inspect::write(&args.out, text.as_bytes())?;
        output::note(&format!("next: citronade search {}", args.out.display()));
    }
    match (json, to_stdout) {
        (true, _) => {
            let mut said = search::data_json(&data);
            said["out"] = json!(args.out);
            said["config"] = json!(text);
            output::result(&said.to_string())
        }
        (false, true) => output::result(&text),
        (false, false) => Ok(Exit::Done),
    }
}

fn template(data: &str, device: &str, limits: &[&str]) -> String {
    let quoted: Vec<String> = limits.iter().map(|limit| format!("{limit:?}")).collect();
    format!(
        r#"# What is searched for. Every line has its default; delete what you do not change.
data = {data:?}                # digits, fashion-mnist, a folder of class folders, IDX folder, npz
device = {device:?}              # what is measured
runtime = "tract"             # tract or ort (ONNX Runtime, found on this machine)
threads = 1                   # of the runtime
objectives = ["error", "latency", "memory", "model_bytes"]   # also parameters, macs
limits = [{limits}]                   # hard: "latency<=8ms", "memory<=20MB", "error<=5%"
seed = 0                      # same seed, same proposals

[split]
validation = 0.2              # share of the training images, where the data has no own part
test = 0.2

[budget]                      # over the whole run; whichever comes first
seconds = 300
# candidates = 200
# epochs = 300

[search]
# strategy = "lemonade"       # this in the open space, citron in a fixed one; `citronade strategies`
space = "morphism"            # `citronade spaces` lists them
# repeats = 2                 # of a fixed space's networks; also filters, blocks, starts = ["MEMBER"]
acceptance = "surrogate"      # or density, as in the paper
inherit = true                # children have their parent's weights
children = 64                 # structures made in a generation
accept = 8                    # of them trained

[training]
epochs_from_scratch = 0       # 0: by the size of the data
epochs_of_child = 0
epochs_of_refinement = 0      # front members are trained on before a time budget ends
share_of_refinement = 0.3     # of the time budget, at most
batch = 64
learning_rate = 0.1
learning_rate_of_child = 0.1
"#,
        limits = quoted.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::RunConfig;

    #[test]
    fn the_template_is_a_valid_configuration_of_less_than_forty_lines() {
        let text = template("digits", "local", &["latency<=8ms"]);
        let config = RunConfig::from_toml(&text).unwrap();
        config.validate().unwrap();
        assert_eq!(config.limits.len(), 1);
        assert!(text.lines().count() < 40);
    }

    #[test]
    fn the_template_shows_the_defaults() {
        let mut config = RunConfig::from_toml(&template("digits", "local", &[])).unwrap();
        config.budget = RunConfig::default().budget;
        assert_eq!(config, RunConfig::default());
    }
}

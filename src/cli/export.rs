//! What `citronade export` writes for a candidate.
use std::fs;
use std::path::Path;

use serde_json::json;

use crate::graph::Graph;
use crate::report::Front;
use crate::store::CandidateId;
use crate::store::CandidateRow;
use crate::store::Reader;
use crate::store::Trained;
use crate::units::Bytes;
use crate::units::Fraction;
use crate::units::Micros;

use super::exit::NothingSelected;
use super::exit::UsageError;
use super::inspect::write;

/// Writes the ONNX file, the weights, a model card (Markdown and JSON) and a snippet of code with
/// the settings that were measured; returns the paths.
pub fn candidate(
    reader: &Reader,
    front: &Front,
    id: CandidateId,
    folder: &Path,
) -> anyhow::Result<Vec<String>> {
    let run = &front.run;
    let whole = reader.candidate(&run.id, id)?;
    let trained = whole.as_ref().and_then(|w| w.trained.as_ref().zip(Some(&w.accepted)));
    let nothing = || NothingSelected(format!("run {} has no trained candidate {id}", run.id));
    let (trained, accepted) = trained.ok_or_else(nothing)?;
    let Some((onnx, weights)) = trained.onnx.as_ref().zip(trained.weights.as_ref()) else {
        let text = format!("candidate {id} was trained without keeping files");
        return Err(NothingSelected(text).into());
    };
    fs::create_dir_all(folder)
        .map_err(|e| UsageError(format!("cannot make the folder `{}`: {e}", folder.display())))?;
    let name = format!("candidate-{id}");
    let as_told = front.members.iter().map(|member| &member.row).find(|row| row.id == id);
    let rows = match as_told {
        Some(_) => Vec::new(),
        None => reader.trained(&run.id, front.at)?,
    };
    let ancestors = reader.lineage(&run.id, id)?;
    let card = card(&Told {
        front,
        trained,
        graph: &accepted.graph,
        row: as_told.or_else(|| rows.iter().find(|row| row.id == id)),
        lineage: ancestors.iter().flat_map(|a| &a.morphisms).map(String::as_str).collect(),
    });
    let files = [
        (format!("{name}.onnx"), reader.blob(onnx)?),
        (format!("{name}.safetensors"), reader.blob(weights)?),
        (format!("{name}.json"), serde_json::to_vec_pretty(&card)?),
        (format!("{name}.md"), markdown(&card, front, id).into_bytes()),
        (format!("{name}.py"), snippet(front, &name).into_bytes()),
    ];
    let mut written = Vec::new();
    for (file, bytes) in files {
        let path = folder.join(file);
        write(&path, &bytes)?;
        written.push(path.display().to_string());
    }
    Ok(written)
}

/// What a card tells of.
struct Told<'a> {
    front: &'a Front,
    trained: &'a Trained,
    graph: &'a Graph,
    /// As the front shows it, for a member.
    row: Option<&'a CandidateRow>,
    /// Names of all morphisms since the seed.
    lineage: Vec<&'a str>,
}

fn card(told: &Told<'_>) -> serde_json::Value {
    let Told { front, trained, graph, row, lineage } = told;
    let run = &front.run;
    let measurement = row.and_then(|r| r.measurement.as_ref());
    let cost = graph.cost();
    json!({
        "schema": "citronade.card.v1",
        "run": run.id,
        "candidate": trained.candidate,
        "data": run.data,
        "data_hash": run.data_hash,
        "device": front.device.name,
        "runtime": front.device.runtime,
        "threads": run.threads,
        "error": trained.error,
        "error_interval": trained.error_interval,
        "test_error": row.and_then(|r| r.test_error),
        "latency_us": measurement.map(|m| m.latency_us),
        "latency_interval_us": measurement.map(|m| m.latency_interval_us),
        "memory_bytes": measurement.and_then(|m| m.memory_bytes),
        "model_bytes": measurement.map(|m| m.model_bytes),
        "parameters": cost.parameters,
        "macs": cost.macs,
        "lineage": lineage,
        "onnx_blake3": trained.onnx,
        "weights_blake3": trained.weights,
        "config": serde_json::from_str::<serde_json::Value>(&run.config).ok(),
    })
}

fn markdown(card: &serde_json::Value, front: &Front, id: CandidateId) -> String {
    let Front { run, device, .. } = front;
    let number = |key: &str| card[key].as_f64();
    let known = |text: Option<String>| text.unwrap_or_else(|| "unknown".to_owned());
    let latency = known(number("latency_us").map(|us| Micros(us).to_string()));
    let memory = known(number("memory_bytes").map(|b| Bytes(b as u64).to_string()));
    let error = known(number("error").map(|e| Fraction(e).to_string()));
    let size = known(number("model_bytes").map(|b| Bytes(b as u64).to_string()));
    let grown = card["lineage"].as_array().into_iter().flatten().filter_map(|name| name.as_str());
    let grown = match grown.collect::<Vec<_>>().join(", ") {
        steps if steps.is_empty() => "a seed network".to_owned(),
        steps => steps,
    };
    let range = |key: &str, show: fn(f64) -> String| match &card[key] {
        serde_json::Value::Array(ends) => {
            let ends: Vec<String> = ends.iter().filter_map(|x| x.as_f64()).map(show).collect();
            format!(" ({})", ends.join(" to "))
        }
        _ => String::new(),
    };
    let errors = range("error_interval", |e| Fraction(e).to_string());
    let latencies = range("latency_interval_us", |us| Micros(us).to_string());
    let test = known(number("test_error").map(|e| Fraction(e).to_string()));
    format!(
        "# Candidate {id} of run {}\n\n\
         | what | figure |\n| --- | --- |\n\
         | data | {} |\n| validation error | {error}{errors} |\n| test error | {test} |\n\
         | latency (p50) | {latency}{latencies} on {} with {}, {} thread(s) |\n\
         | memory above the runtime | {memory} |\n| size of the file | {size} |\n| grown by | {grown} |\n| parameters | {} |\n\
         | multiply-accumulates | {} |\n| BLAKE3 of the ONNX file | `{}` |\n\n\
         Input: raw pixel values, `float32 [1, C, H, W]`, as the data set has them; normalisation is \
         part of the model. Output: one score for each class.\n\n\
         Repeat the measurement: `citronade measure candidate-{id}.onnx --runtime {} --threads {}`\n",
        run.id,
        run.data,
        device.name,
        device.runtime,
        run.threads,
        card["parameters"],
        card["macs"],
        card["onnx_blake3"].as_str().unwrap_or("unknown"),
        device.runtime.split(' ').next().unwrap_or("tract"),
        run.threads,
    )
}

/// Python with ONNX Runtime, since every model can be tried from it.
fn snippet(front: &Front, name: &str) -> String {
    let Front { run, device, .. } = front;
    let runtime = device.runtime.split(' ').next().unwrap_or_default();
    let measured = match runtime.split_once(':').unwrap_or((runtime, "cpu")) {
        ("ort", "cpu") => "with the settings that were measured".to_owned(),
        ("ort", provider) => format!(
            "on the CPU; it was measured with the execution provider {provider}, which is to be\n\
             # named first in `providers` for the same latency"
        ),
        _ => format!(
            "with ONNX Runtime; it was measured with {}, whose latency is another\n\
             # (`citronade measure {name}.onnx --runtime ort` gives that of ONNX Runtime)",
            device.runtime
        ),
    };
    format!(
        "# Runs {name}.onnx {measured}.\n\
         import numpy as np\n\
         import onnxruntime as ort\n\n\
         options = ort.SessionOptions()\n\
         options.intra_op_num_threads = {}\n\
         session = ort.InferenceSession(\"{name}.onnx\", options, providers=[\"CPUExecutionProvider\"])\n\
         shape = session.get_inputs()[0].shape\n\
         pixels = np.zeros(shape, dtype=np.float32)  # raw pixel values, not normalised\n\
         print(session.run(None, {{\"input\": pixels}})[0])\n",
        run.threads
    )
}

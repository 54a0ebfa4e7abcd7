//! Models that nobody should trust, made by changing one that is fine.
use std::sync::Arc;

use prost::Message;

use crate::graph::Conv;
use crate::graph::Graph;
use crate::graph::Network;
use crate::graph::Op;
use crate::graph::Params;
use crate::graph::Tensor;
use crate::graph::Weights;

use super::ExportOptions;
use super::MAX_MODEL_BYTES;
use super::OnnxError;
use super::export;
use super::inspect;
use super::proto::AttributeProto;
use super::proto::FunctionProto;
use super::proto::GraphProto;
use super::proto::ModelProto;
use super::proto::NodeProto;
use super::proto::StringStringEntryProto;
use super::proto::TensorProto;
use super::proto::TypeProto;
use super::proto::ValueInfoProto;
use super::proto::type_proto;
use super::read;

/// One convolution of two channels on a 4×4 image.
fn small_network() -> Network {
    let mut graph = Graph::new([1, 4, 4]);
    let conv = graph.push(Op::Conv(Conv { bias: true, ..Conv::same(2, 3) }), &[graph.input()]);
    let (weight, bias) = (Tensor::full(&[2, 1, 3, 3], 0.5), Some(Tensor::zeros(&[2])));
    let weights = Weights::from([(conv, Arc::new(Params::Conv { weight, bias }))]);
    Network { graph, weights }
}

fn small_model() -> ModelProto {
    ModelProto::decode(export(&small_network(), &ExportOptions::default()).as_slice()).unwrap()
}

/// The small model after `change`, as bytes.
fn changed(change: impl FnOnce(&mut ModelProto, &mut GraphProto)) -> Vec<u8> {
    let mut model = small_model();
    let mut graph = model.graph.take().unwrap();
    change(&mut model, &mut graph);
    model.graph = Some(graph);
    model.encode_to_vec()
}

/// Asserts that reading fails with a message that contains `words`.
#[track_caller]
fn check_refused(model: &[u8], words: &str) {
    let error = read(model).expect_err("the model is refused");
    let text = error.to_string();
    assert!(text.contains(words), "{text}");
    assert!(text.len() < 300 && !text.chars().any(char::is_control), "{text:?}");
}

#[test]
fn the_unchanged_model_is_read() {
    assert_eq!(read(&changed(|_, _| ())).unwrap(), small_network());
}

#[test]
fn no_prefix_of_a_model_is_a_model() {
    let model = changed(|_, _| ());
    for len in 0..model.len() {
        assert!(read(&model[..len]).is_err(), "the first {len} bytes");
    }
}

#[test]
fn a_hundred_bytes_cannot_ask_for_half_a_tebibyte() {
    let model = changed(|_, graph| {
        graph.initializer.clear();
        graph.node[0].op_type = Some("ConstantOfShape".to_owned());
        graph.node[0].attribute.clear();
    });
    check_refused(&model, "`ConstantOfShape`, which is not among");
}

#[test]
fn sizes_beyond_memory_are_refused() {
    let huge = 1 << 40;
    check_refused(&changed(|_, g| g.initializer[0].dims = vec![huge; 4]), "fewer values");
    check_refused(&changed(|_, g| g.initializer[0].dims[0] = -1), "no negative size");
    let pads = |g: &mut GraphProto| {
        let pads = g.node[0].attribute.iter_mut().find(|a| a.name() == "pads").unwrap();
        pads.ints = vec![huge; 4];
    };
    check_refused(&changed(|_, g| pads(g)), "not a valid network");
}

#[test]
fn constants_have_exactly_their_bytes() {
    for len in [0, 71, 73] {
        let model = changed(|_, g| g.initializer[0].raw_data.as_mut().unwrap().resize(len, 0));
        check_refused(&model, "`raw_data` for exactly its shape");
    }
    check_refused(&changed(|_, g| g.initializer[0].data_type = Some(11)), "the type");
    let nan = f32::NAN.to_le_bytes();
    let model =
        changed(|_, g| g.initializer[0].raw_data.as_mut().unwrap()[..4].copy_from_slice(&nan));
    check_refused(&model, "not a valid network");
}

#[test]
fn a_constant_has_one_reader() {
    let shared = changed(|_, g| {
        let mut second = g.node[0].clone();
        second.name = Some("second".to_owned());
        second.output[0] = "other".to_owned();
        g.node.insert(0, second);
    });
    check_refused(&shared, "one reader alone");
    check_refused(&changed(|_, g| g.initializer.push(g.initializer[0].clone())), "its own");
}

#[test]
fn data_in_other_files_is_refused() {
    let elsewhere = StringStringEntryProto {
        key: Some("location".to_owned()),
        value: Some("/etc/passwd".to_owned()),
    };
    let model = changed(|_, g| g.initializer[0].external_data.push(elsewhere));
    check_refused(&model, "constants in other files");
    assert!(matches!(inspect(&model), Err(OnnxError::Refused("constants in other files"))));
    check_refused(&changed(|_, g| g.initializer[0].data_location = Some(1)), "other files");
}

#[test]
fn graphs_functions_and_foreign_parts_are_refused() {
    let inner = |graph| AttributeProto { g: Some(graph), ..AttributeProto::default() };
    let nested = changed(|_, g| g.node[0].attribute.push(inner(GraphProto::default())));
    check_refused(&nested, "graphs inside of nodes");
    let function = changed(|m, _| m.functions.push(FunctionProto::default()));
    check_refused(&function, "functions of its own");
    let sparse = changed(|_, g| g.sparse_initializer.push(Default::default()));
    check_refused(&sparse, "sparse constants");
    let unknown = [changed(|_, _| ()), vec![0xfa, 0x3f, 0]].concat();
    check_refused(&unknown, "a part that this program does not know");
    check_refused(&changed(|_, g| g.node[0].domain = Some("com.evil".into())), "own domain");
    check_refused(&changed(|m, _| m.opset_import[0].version = Some(7)), "operator set");
}

#[test]
fn nesting_without_end_is_refused_without_recursion() {
    let mut kind = TypeProto::default();
    for _ in 0..50 {
        let sequence = type_proto::Sequence { elem_type: Some(Box::new(kind)) };
        let value = Some(type_proto::Value::SequenceType(Box::new(sequence)));
        kind = TypeProto { value, ..TypeProto::default() };
    }
    check_refused(&changed(|_, g| g.input[0].r#type = Some(kind)), "not tensors");
}

#[test]
fn two_bytes_do_not_become_a_kilobyte_a_million_times() {
    let mut flood = vec![0x3a, 0x80, 0x80, 0x80, 0x04];
    flood.extend([0x0a, 0].repeat(4 << 20));
    assert!(matches!(read(&flood), Err(OnnxError::TooLarge { .. })), "{:?}", read(&flood));
    let long = vec![0; MAX_MODEL_BYTES + 1];
    assert!(matches!(read(&long), Err(OnnxError::TooLarge { what: "bytes", .. })));
    let nodes = changed(|_, g| g.node.resize(20_000, NodeProto::default()));
    check_refused(&nodes, "20000 nodes");
}

#[test]
fn values_are_given_once_and_before_they_are_read() {
    check_refused(&changed(|_, g| g.node[0].input[0] = "nobody".into()), "`nobody`");
    check_refused(&changed(|_, g| g.node[0].output[0] = "input".into()), "`input`");
    check_refused(&changed(|_, g| g.node[0].output.clear()), "one output");
    check_refused(&changed(|_, g| g.node[0].input.push("more".into())), "as many inputs");
    check_refused(&changed(|_, g| g.node[0].input.clear()), "the value `` at");
    check_refused(&changed(|_, g| g.output[0].name = Some("input".into())), "`input`");
    check_refused(&changed(|_, g| g.node.clear()), "`output`");
}

#[test]
fn promises_about_input_and_output_hold() {
    check_refused(&changed(|_, g| g.input.clear()), "input must be");
    check_refused(&changed(|_, g| g.input.push(g.input[0].clone())), "input must be");
    check_refused(&changed(|_, g| g.output = g.input.clone()), "`input`");
    let lie = changed(|_, g| {
        let input = g.input[0].r#type.clone();
        g.output[0].r#type = input;
    });
    check_refused(&lie, "the shape that its nodes give");
}

#[test]
fn attributes_are_all_known_and_there_once() {
    let rename = |from: &str, to: &str| {
        changed(|_, g| {
            let found = g.node[0].attribute.iter_mut().find(|a| a.name() == from).unwrap();
            found.name = Some(to.to_owned());
        })
    };
    check_refused(&rename("pads", "auto_pad"), "sizes as `pads`");
    let small_group = || small_model().graph.unwrap().node[0].attribute.get(1).cloned();
    let extra = |name: &str| AttributeProto { name: Some(name.into()), ..Default::default() };
    check_refused(&changed(|_, g| g.node[0].attribute.push(extra("evil"))), "`evil`");
    let twice = changed(|_, g| g.node[0].attribute.extend(small_group()));
    check_refused(&twice, "`group`");
}

#[test]
fn names_from_a_file_do_not_reach_a_terminal_raw() {
    let name = "\u{1b}[31m\n".repeat(100);
    check_refused(&changed(|_, g| g.node[0].op_type = Some(name.clone())), "\\u{1b}[31m\\n");
    check_refused(&changed(|_, g| g.node[0].input[0] = name.clone()), "\\u{1b}[31m\\n");
    check_refused(&changed(|m, _| m.opset_import[0].domain = Some(name.clone())), "\\u{1b}");
    let tensor = TensorProto { name: Some(name.clone()), ..Default::default() };
    let twice = changed(|_, g| g.initializer.extend([tensor.clone(), tensor]));
    check_refused(&twice, "\\u{1b}[31m\\n");
}

#[test]
fn facts_are_told_of_models_that_are_not_read() {
    let model = changed(|m, g| {
        m.producer_name = Some("somebody".to_owned());
        g.node[0].op_type = Some("LSTM".to_owned());
    });
    let facts = inspect(&model).unwrap();
    assert_eq!(facts.operators, [("LSTM".to_owned(), 1)].into());
    assert_eq!(facts.parameters, 20);
    assert_eq!(facts.inputs[0].shape, Some([1, 1, 4, 4].map(Some).to_vec()));
    assert_eq!(facts.outputs[0].name, "output");
    let old = changed(|_, g| {
        let name = g.initializer[0].name.clone();
        g.input.push(ValueInfoProto { name, ..Default::default() });
    });
    assert_eq!(inspect(&old).unwrap().inputs, facts.inputs);
    assert!(facts.producer.starts_with("somebody "));
}

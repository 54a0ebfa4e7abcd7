//! What a network is: identity, cost, memory, edits, and graphs that nobody should trust.
use std::collections::BTreeSet;
use std::sync::Arc;

use citronade::graph::Activation;
use citronade::graph::Conv;
use citronade::graph::Graph;
use citronade::graph::GraphError;
use citronade::graph::Linear;
use citronade::graph::Network;
use citronade::graph::NodeId;
use citronade::graph::Op;
use citronade::graph::check;
use citronade::graph::check_network;
use citronade::graph::eval;
use citronade::units::Bytes;
use citronade::units::Macs;
use rand::RngExt;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use serde_json::json;

use crate::support::networks::random_network;
use crate::support::networks::random_sample;

fn parse(json: &Value) -> Result<Graph, String> {
    serde_json::from_str(&json.to_string()).map_err(|e| e.to_string())
}

fn to_json(graph: &Graph) -> Value {
    serde_json::to_value(graph).unwrap()
}

/// The same structure with other names, another order and shuffled sums.
fn disguised(graph: &Graph, rng: &mut ChaCha8Rng) -> Graph {
    let mut names: Vec<u32> = (100..100 + graph.nodes().len() as u32).collect();
    names.shuffle(rng);
    let place = |id: NodeId| graph.nodes().iter().position(|n| n.id == id).unwrap();
    let (mut rest, mut placed) = ((0..names.len()).collect::<Vec<_>>(), BTreeSet::new());
    let mut nodes = Vec::new();
    while !rest.is_empty() {
        rest.shuffle(rng);
        let ready = |&at: &usize| {
            let node = &graph.nodes()[at];
            node.inputs.iter().all(|&i| placed.contains(&place(i)))
        };
        let at = rest.remove(rest.iter().position(ready).unwrap());
        placed.insert(at);
        let node = &graph.nodes()[at];
        let mut inputs: Vec<u32> = node.inputs.iter().map(|&i| names[place(i)]).collect();
        if node.op == Op::Add {
            inputs.shuffle(rng);
        }
        nodes.push(json!({ "id": names[at], "op": node.op, "inputs": inputs }));
    }
    parse(&json!({ "nodes": nodes, "next_id": 100_000 })).unwrap()
}

#[test]
fn identity_ignores_names_order_and_the_order_of_sums() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for seed in 0..200 {
        let graph = random_network(seed).graph;
        let other = disguised(&graph, &mut rng);
        assert_eq!(other.arch_id(), graph.arch_id(), "seed {seed}");
    }
}

#[test]
fn identity_tells_random_structures_apart() {
    let graphs: Vec<Graph> = (0..400).map(|seed| random_network(seed).graph).collect();
    let different: BTreeSet<String> =
        graphs.iter().map(|g| to_json(g)["nodes"].to_string()).collect();
    let ids: BTreeSet<String> = graphs.iter().map(|g| g.arch_id().to_string()).collect();
    assert_eq!(ids.len(), different.len());
}

/// Two equal branches, added in one order or the other, and the first of them read again.
#[test]
fn identity_ignores_the_order_of_equal_branches_in_a_sum() {
    let build = |sum: [usize; 2]| {
        let mut graph = Graph::new([1, 2, 2]);
        let twins = [(); 2].map(|()| graph.push(Op::Activation(Activation::Relu), &[NodeId(0)]));
        let sum = graph.push(Op::Add, &sum.map(|i| twins[i]));
        graph.push(Op::Concat, &[sum, twins[0]]);
        graph.remove_unused();
        check(&graph).unwrap();
        graph.arch_id()
    };
    assert_eq!(build([0, 1]), build([1, 0]));
    assert_ne!(build([0, 1]), build([0, 0]), "one node read twice is not two nodes");
}

#[test]
fn identity_sees_which_of_two_equal_nodes_is_read_again() {
    let build = |again: usize| {
        let mut graph = Graph::new([1, 2, 2]);
        let twins = [(); 2].map(|()| graph.push(Op::Activation(Activation::Relu), &[NodeId(0)]));
        let left = graph.push(Op::Activation(Activation::Sigmoid), &[twins[0]]);
        let right = graph.push(Op::Activation(Activation::Silu), &[twins[1]]);
        graph.push(Op::Concat, &[left, right, twins[again]]);
        check(&graph).unwrap();
        graph.arch_id()
    };
    assert_ne!(build(0), build(1));
}

/// Every place of `value` that holds a number, a truth value or a word.
fn leaves(value: &Value, path: String, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            map.iter().for_each(|(key, v)| leaves(v, format!("{path}/{key}"), found));
        }
        Value::Array(all) => {
            all.iter().enumerate().for_each(|(i, v)| leaves(v, format!("{path}/{i}"), found));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => found.push(path),
    }
}

fn others(leaf: &Value) -> Vec<Value> {
    match leaf {
        Value::Bool(b) => vec![json!(!b)],
        Value::Number(n) if n.is_u64() => {
            let n = n.as_u64().unwrap();
            vec![json!(n + 1), json!(n.saturating_sub(1)), json!(2 * n)]
        }
        Value::Number(n) => vec![json!(n.as_f64().unwrap() / 2.0)],
        Value::String(_) => {
            ["relu", "silu", "add", "mul", "nearest", "bilinear"].map(|s| json!(s)).to_vec()
        }
        Value::Null | Value::Array(_) | Value::Object(_) => vec![],
    }
}

#[test]
fn identity_changes_with_every_attribute() {
    let mut seen = BTreeSet::new();
    for seed in 0..150 {
        let graph = random_network(seed).graph;
        let json = to_json(&graph);
        let mut paths = Vec::new();
        leaves(&json["nodes"], "/nodes".to_owned(), &mut paths);
        for path in paths.iter().filter(|path| path.contains("/op")) {
            for other in others(json.pointer(path).unwrap()) {
                let mut changed = json.clone();
                *changed.pointer_mut(path).unwrap() = other;
                let Ok(other) = parse(&changed) else { continue };
                if other != graph {
                    assert_ne!(other.arch_id(), graph.arch_id(), "seed {seed}: {path}");
                    seen.insert(path.split('/').skip(4).collect::<Vec<_>>().join("/"));
                }
            }
        }
    }
    for attribute in [
        "input/shape/1",
        "conv/channels",
        "conv/kernel/0",
        "conv/stride/1",
        "conv/padding/0",
        "conv/dilation/0",
        "conv/groups",
        "conv/bias",
        "batch_norm/epsilon",
        "activation",
        "max_pool/kernel/0",
        "avg_pool/padding/1",
        "linear/features",
        "linear/bias",
        "dropout/rate",
        "resize/size/0",
        "resize/interpolation",
    ] {
        assert!(seen.contains(attribute), "{attribute} was never changed: {seen:?}");
    }
}

#[test]
fn cost_is_what_one_computes_by_hand() {
    let mut graph = Graph::new([1, 8, 8]);
    let first = Conv { bias: true, ..Conv::same(4, 3) };
    let at = graph.push(Op::Conv(first), &[graph.input()]);
    let at = graph.push(Op::Conv(Conv { stride: [2; 2], ..Conv::depthwise(4, 3) }), &[at]);
    let at = graph.push(Op::BatchNorm { epsilon: 1e-3 }, &[at]);
    let at = graph.push(Op::Activation(Activation::Relu), &[at]);
    let at = graph.push(Op::GlobalAveragePool, &[at]);
    let at = graph.push(Op::Flatten, &[at]);
    graph.push(Op::Linear(Linear { features: 3, bias: true }), &[at]);
    check(&graph).unwrap();

    let cost = graph.cost();
    let parameters: Vec<u64> = cost.nodes.iter().map(|n| n.parameters).collect();
    assert_eq!(parameters, [0, 4 * 9 + 4, 4 * 9, 4 + 4, 0, 0, 0, 3 * 4 + 3]);
    assert_eq!(cost.parameters, 99);
    let macs: Vec<u64> = cost.nodes.iter().map(|n| n.macs).collect();
    assert_eq!(macs, [0, 64 * 4 * 9, 16 * 4 * 9, 0, 0, 0, 0, 12]);
    assert_eq!(cost.macs, Macs(2892));
    assert_eq!(cost.nodes[1].bytes_moved, 4 * (64 + 256 + 40));
    assert_eq!(cost.nodes[3].bytes_moved, 4 * (64 + 64 + 16));
    assert_eq!(cost.memory.peak, Bytes(4 * (64 + 256)));
    assert_eq!(cost.memory.at, NodeId(1));
}

/// Peak memory the other way round: for each step, which values have been made and are needed
/// still; a value that is written over another one is counted in its place.
fn peak_by_intervals(graph: &Graph) -> u64 {
    let shapes = graph.shapes().unwrap();
    let nodes = graph.nodes();
    let needed_until =
        |id: NodeId| nodes.iter().rposition(|n| n.id == id || n.inputs.contains(&id));
    let len = |id: NodeId| shapes[&id].len() as u64;
    let at_step = |step: usize| {
        let alive = nodes[..=step].iter().filter(|n| needed_until(n.id) >= Some(step));
        let node = &nodes[step];
        let pointwise = matches!(
            node.op.name(),
            "Normalize" | "BatchNormalization" | "Add" | "Mul" | "Flatten" | "Dropout"
        ) || matches!(node.op, Op::Activation(_));
        let dying = node.inputs.first().filter(|&&i| needed_until(i) == Some(step));
        let saved = dying.filter(|&&i| pointwise && len(i) == len(node.id)).map_or(0, |&i| len(i));
        alive.map(|n| len(n.id)).sum::<u64>() - saved
    };
    4 * (0..nodes.len()).map(at_step).max().unwrap()
}

#[test]
fn peak_memory_agrees_with_a_second_count() {
    for seed in 0..300 {
        let graph = random_network(seed).graph;
        let shapes = graph.shapes().unwrap();
        let sizes: Vec<u64> = shapes.values().map(|s| 4 * s.len() as u64).collect();
        let peak = graph.cost().memory.peak.0;
        assert_eq!(peak, peak_by_intervals(&graph), "seed {seed}");
        assert!(peak >= *sizes.iter().max().unwrap() && peak <= sizes.iter().sum());
    }
}

#[test]
fn graphs_survive_json() {
    for seed in 0..100 {
        let graph = random_network(seed).graph;
        assert_eq!(parse(&to_json(&graph)), Ok(graph));
    }
}

/// Asserts that the graph of `nodes` is refused when it is read, for a reason with these words.
#[track_caller]
fn check_unreadable(nodes: Value, next_id: Value, words: &str) {
    let error = parse(&json!({ "nodes": nodes, "next_id": next_id })).unwrap_err();
    assert!(error.contains(words), "{error}");
}

fn input(shape: [u64; 3]) -> Value {
    json!({ "id": 0, "op": { "input": { "shape": shape } }, "inputs": [] })
}

fn node(id: u64, op: Value, inputs: &[u64]) -> Value {
    json!({ "id": id, "op": op, "inputs": inputs })
}

#[test]
fn hostile_graphs_are_refused_when_they_are_read() {
    let huge = 1u64 << 40;
    let small = || input([1, 4, 4]);
    let conv = |change: &dyn Fn(&mut Value)| {
        let mut conv = serde_json::to_value(Op::Conv(Conv::same(2, 3))).unwrap();
        change(&mut conv["conv"]);
        json!([small(), node(1, conv, &[0])])
    };
    check_unreadable(json!([]), json!(1), "first node");
    check_unreadable(json!([input([huge; 3])]), json!(1), "its shape out of range");
    check_unreadable(json!([input([1 << 20; 3])]), json!(1), "its output out of range");
    let flat = node(1, json!("flatten"), &[0]);
    check_unreadable(json!([input([1 << 20; 3]), flat]), json!(2), "its output out of range");
    check_unreadable(json!([input([1, 0, 4])]), json!(1), "its shape out of range");
    check_unreadable(json!([small(), node(1, json!("flatten"), &[1])]), json!(2), "n1 reads n1");
    check_unreadable(json!([small(), node(1, json!("flatten"), &[7])]), json!(2), "n1 reads n7");
    check_unreadable(json!([small(), small()]), json!(1), "used twice");
    check_unreadable(json!([small()]), json!(0), "never given out");
    check_unreadable(json!([small()]), json!(u32::MAX), "never given out");
    check_unreadable(json!([node(0, json!("add"), &[])]), json!(1), "first node");
    let pair = [node(1, json!("flatten"), &[0]), node(2, json!("flatten"), &[0])];
    check_unreadable(json!([small(), pair[0], pair[1]]), json!(3), "does not lead to the output");
    let sum = node(1, json!("add"), &[0; 2000]);
    check_unreadable(json!([small(), sum]), json!(2), "the number of its inputs");
    let many: Vec<Value> = (1..=10_000).map(|i| node(i, json!("flatten"), &[i - 1])).collect();
    check_unreadable(json!([vec![small()], many].concat()), json!(20_000), "10001 nodes");
    for (key, value, words) in [
        ("groups", json!(0), "its channels out of range"),
        ("kernel", json!([0, 1]), "its kernel"),
        ("stride", json!([1, 0]), "its stride"),
        ("dilation", json!([u64::MAX, 1]), "its dilation"),
        ("padding", json!([u64::MAX, 1]), "its padding"),
        ("padding", json!([1 << 28, 1 << 28]), "its output"),
        ("channels", json!(1 << 28), "its output"),
        ("kernel", json!([9, 9]), "at least as large as the kernel"),
    ] {
        check_unreadable(conv(&|c| c[key] = value.clone()), json!(2), words);
    }
    check_unreadable(conv(&|c| c["evil"] = json!(1)), json!(2), "unknown field `evil`");
    let wide = json!([
        input([1 << 14, 1 << 7, 1 << 7]),
        node(1, json!("flatten"), &[0]),
        node(2, json!({ "linear": { "features": 2, "bias": false } }), &[1])
    ]);
    check_unreadable(wide, json!(3), "weight out of range");
}

#[test]
fn damaged_json_never_panics_and_what_is_read_can_be_used() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut readable = 0;
    for seed in 0..60 {
        let text = to_json(&random_network(seed).graph).to_string();
        for _ in 0..200 {
            let mut bytes = text.clone().into_bytes();
            for _ in 0..rng.random_range(1..=2) {
                let at = rng.random_range(0..bytes.len());
                match rng.random_range(0..3) {
                    0 => bytes[at] = rng.random_range(b'0'..=b'9'),
                    1 => bytes.insert(at, rng.random_range(b'0'..=b'9')),
                    _ => drop(bytes.remove(at)),
                }
            }
            if let Ok(graph) = serde_json::from_slice::<Graph>(&bytes) {
                assert_eq!(parse(&to_json(&graph)), Ok(graph.clone()));
                assert_eq!(graph.cost().nodes.len(), graph.nodes().len());
                readable += 1;
            }
        }
    }
    assert!(readable > 200, "{readable}");
}

#[test]
fn the_cost_of_the_largest_graphs_does_not_overflow() {
    let side = 1 << 14;
    let mut graph = Graph::new([1, side, side]);
    let mut at = graph.input();
    for _ in 0..1_000 {
        at = graph.push(Op::Conv(Conv::same(1, side - 1)), &[at]);
    }
    check(&graph).unwrap();
    assert_eq!(graph.cost().macs, Macs(u64::MAX));
}

#[test]
fn networks_are_checked_to_the_last_value() {
    let find = |network: &Network, wanted: &str| {
        let mut nodes = network.graph.nodes().iter();
        nodes.find(|n| n.op.name() == wanted).map(|n| n.id)
    };
    let norm_of = |network: &Network| find(network, "BatchNormalization");
    let network = (0..).map(random_network).find(|n| norm_of(n).is_some()).unwrap();
    let (conv, norm) = (find(&network, "Conv").unwrap(), norm_of(&network).unwrap());
    let changed = |change: &dyn Fn(&mut Network)| {
        let mut copy = network.clone();
        change(&mut copy);
        check_network(&copy).unwrap_err()
    };
    let set = |copy: &mut Network, id, at: usize, value: f32| {
        copy.params_mut(id).tensors_mut()[at].1.data[0] = value;
    };
    let no_params = changed(&|n| drop(n.weights.remove(&conv)));
    assert_eq!(no_params, GraphError::WrongParams(conv));
    let params = Arc::clone(&network.weights[&conv]);
    let more = changed(&|n| drop(n.weights.insert(NodeId(0), Arc::clone(&params))));
    assert_eq!(more, GraphError::WrongParams(NodeId(0)));
    let other = changed(&|n| drop(n.weights.insert(norm, Arc::clone(&params))));
    assert_eq!(other, GraphError::WrongParams(norm));
    let short = changed(&|n| n.params_mut(conv).tensors_mut()[0].1.data.truncate(1));
    assert!(matches!(short, GraphError::WrongParamShape { node, .. } if node == conv));
    let nan = changed(&|n| set(n, conv, 0, f32::NAN));
    assert_eq!(nan, GraphError::NotFinite { node: conv, name: "weight" });
    let negative = changed(&|n| set(n, norm, 3, -1e-6));
    assert_eq!(negative, GraphError::BelowRange { node: norm, name: "variance" });
}

#[test]
fn edits_keep_order_and_never_reuse_an_id() {
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    for seed in 0..100 {
        let mut graph = random_network(seed).graph;
        let mut given: BTreeSet<NodeId> = graph.nodes().iter().map(|n| n.id).collect();
        for _ in 0..20 {
            let at = rng.random_range(1..graph.nodes().len());
            let site = graph.nodes()[at].clone();
            let shape = graph.shapes().unwrap()[&site.id];
            let same = site.inputs.iter().find(|i| graph.shapes().unwrap()[i] == shape);
            match same {
                Some(&source) if rng.random() => graph.bypass(site.id, source),
                _ => {
                    let relu = Op::Activation(Activation::Relu);
                    for id in graph.insert_after(site.id, vec![relu, Op::Dropout { rate: 0.1 }]) {
                        assert!(given.insert(id), "seed {seed}: {id} was there before");
                    }
                }
            }
            check(&graph).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        }
    }
}

#[test]
fn inserting_and_bypassing_again_changes_nothing() {
    for seed in 0..60 {
        let network = random_network(seed);
        for node in network.graph.nodes() {
            let mut copy = network.clone();
            let new = copy.graph.insert_after(node.id, vec![Op::Dropout { rate: 0.5 }])[0];
            let sample = random_sample(&network, &mut ChaCha8Rng::seed_from_u64(seed));
            assert_eq!(eval(&copy, &sample), eval(&network, &sample), "seed {seed}");
            copy.graph.bypass(new, node.id);
            assert_eq!(copy.graph.nodes(), network.graph.nodes(), "seed {seed}");
        }
    }
}

//! Which fields of ONNX's messages hold other messages (`onnx.proto`, release 1.19).

/// A message whose fields are walked.
#[derive(Clone, Copy, Debug)]
pub enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    Sparse,
    Value,
    Type,
    TensorType,
    /// A sequence of a type, or one that may be missing.
    TypeOf,
    MapType,
    Shape,
    Training,
    Function,
    /// Nothing inside but texts and numbers.
    Flat,
}

/// What a field may hold.
#[derive(Clone, Copy, Debug)]
pub enum Part {
    /// One message, called so.
    One(Message, &'static str),
    /// Any number of messages.
    Many(Message),
    /// A name, or a number.
    Name,
    /// Numbers, or bytes of any length.
    Data,
}

impl Message {
    /// What the field `number` may hold; a field of a later release is data.
    pub fn part(self, number: u64) -> Part {
        use Message::*;
        use Part::*;
        match (self, number) {
            (Model, 7) => One(Graph, "a graph"),
            (Model, 8 | 14 | 26) | (Function, 9 | 14) => Many(Flat),
            (Model, 20) => Many(Training),
            (Model, 25) => Many(Function),
            (Graph, 1) | (Function, 7) => Many(Node),
            (Graph, 5) | (Attribute, 10) => Many(Tensor),
            (Graph, 11..=13) | (Function, 12) => Many(Value),
            (Graph, 14 | 16) | (Node, 9 | 10) | (Value, 4) | (Training, 3 | 4) => Many(Flat),
            (Graph, 15) | (Attribute, 23) => Many(Sparse),
            (Node, 5) | (Function, 11) => Many(Attribute),
            (Attribute, 5) => One(Tensor, "a tensor"),
            (Attribute, 6) => One(Graph, "a graph"),
            (Attribute, 11) => Many(Graph),
            (Attribute, 14) | (Value, 2) => One(Type, "a type"),
            (Attribute, 15) => Many(Type),
            (Attribute, 22) => One(Sparse, "a sparse tensor"),
            (Sparse, 1 | 2) => One(Tensor, "a tensor"),
            (Type, 1 | 8) => One(TensorType, "a type"),
            (Type, 4 | 9) => One(TypeOf, "a type"),
            (Type, 5) => One(MapType, "a type"),
            (TypeOf, 1) | (MapType, 2) => One(Type, "a type"),
            (TensorType, 2) => One(Shape, "a shape"),
            (Training, 1 | 2) => One(Graph, "a graph"),
            (Model, 2..=4)
            | (Graph, 2)
            | (Node, 1..=4 | 7 | 8)
            | (Attribute, 1 | 21)
            | (Value | Function, 1)
            | (Function, 4..=6 | 10 | 13) => Name,
            _ => Data,
        }
    }
}

//! The cable between host and phone.
use std::net::Shutdown;
use std::net::TcpStream;
use std::sync::Mutex;

/// Where bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the phone.
    ToHost,
    /// To the phone.
    FromHost,
}

/// What all connections of a phone go through, and what can be pulled.
pub struct Cable(Mutex<State>);

struct State {
    is_plugged_in: bool,
    /// How many bytes may still pass which way before it is pulled.
    limit: Option<(Way, usize)>,
    connections: Vec<TcpStream>,
}

impl Cable {
    pub fn new() -> Self {
        Cable(Mutex::new(State { is_plugged_in: true, limit: None, connections: Vec::new() }))
    }

    /// Whether a new connection stands.
    pub fn attach(&self, socket: &TcpStream) -> bool {
        let mut state = self.0.lock().unwrap();
        if state.is_plugged_in {
            state.connections.push(socket.try_clone().unwrap());
        }
        state.is_plugged_in
    }

    pub fn pull(&self) {
        let mut state = self.0.lock().unwrap();
        state.is_plugged_in = false;
        for connection in state.connections.drain(..) {
            // The host may have been faster.
            connection.shutdown(Shutdown::Both).ok();
        }
    }

    pub fn pull_after(&self, way: Way, bytes: usize) {
        self.0.lock().unwrap().limit = Some((way, bytes));
    }

    pub fn plug_in(&self) {
        let mut state = self.0.lock().unwrap();
        state.is_plugged_in = true;
        state.limit = None;
    }

    /// How many of `bytes` pass; after fewer than all the cable is to be pulled.
    pub fn pass(&self, going: Way, bytes: usize) -> usize {
        match &mut self.0.lock().unwrap().limit {
            Some((way, left)) if *way == going => {
                let passed = bytes.min(*left);
                *left -= passed;
                passed
            }
            _ => bytes,
        }
    }
}

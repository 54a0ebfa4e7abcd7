//! The cable between host and phone.
use std::net::Shutdown;
use std::net::TcpStream;
use std::sync::Condvar;
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
pub struct Cable {
    state: Mutex<State>,
    /// It is not frozen any more.
    thawed: Condvar,
}

struct State {
    is_plugged_in: bool,
    /// Whether nothing passes, and nobody is told.
    is_frozen: bool,
    /// How many bytes may still pass which way before it is pulled.
    limit: Option<(Way, usize)>,
    connections: Vec<TcpStream>,
}

impl Cable {
    pub fn new() -> Self {
        let (is_plugged_in, is_frozen) = (true, false);
        let state = State { is_plugged_in, is_frozen, limit: None, connections: Vec::new() };
        Cable { state: Mutex::new(state), thawed: Condvar::new() }
    }

    /// Whether a new connection stands.
    pub fn attach(&self, socket: &TcpStream) -> bool {
        let mut state = self.state.lock().unwrap();
        if state.is_plugged_in {
            state.connections.push(socket.try_clone().unwrap());
        }
        state.is_plugged_in
    }

    pub fn pull(&self) {
        let mut state = self.state.lock().unwrap();
        state.is_plugged_in = false;
        self.thaw(&mut state);
        for connection in state.connections.drain(..) {
            // The host may have been faster.
            connection.shutdown(Shutdown::Both).ok();
        }
    }

    pub fn pull_after(&self, way: Way, bytes: usize) {
        self.state.lock().unwrap().limit = Some((way, bytes));
    }

    pub fn plug_in(&self) {
        let mut state = self.state.lock().unwrap();
        state.is_plugged_in = true;
        state.limit = None;
        self.thaw(&mut state);
    }

    pub fn freeze(&self) {
        self.state.lock().unwrap().is_frozen = true;
    }

    fn thaw(&self, state: &mut State) {
        state.is_frozen = false;
        self.thawed.notify_all();
    }

    /// How many of `bytes` pass; after fewer than all the cable is to be pulled.
    pub fn pass(&self, going: Way, bytes: usize) -> usize {
        let state = self.state.lock().unwrap();
        let mut state = self.thawed.wait_while(state, |state| state.is_frozen).unwrap();
        match &mut state.limit {
            Some((way, left)) if *way == going => {
                let passed = bytes.min(*left);
                *left -= passed;
                passed
            }
            _ => bytes,
        }
    }
}

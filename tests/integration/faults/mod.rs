//! Devices that fail at the wrong moment: each failure is named, and what comes after it works.
mod broken;
mod clocks;
mod disks;
mod lock;
mod network;
mod talk;

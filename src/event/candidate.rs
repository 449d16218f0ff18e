//! An item that wants to become an event, as loosely typed as senders are.

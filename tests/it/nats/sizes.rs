//! Frames and dead letters fit what a server and its streams take.

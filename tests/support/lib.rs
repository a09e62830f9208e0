//! Support for the tests: packet builder, topology, agent handle.

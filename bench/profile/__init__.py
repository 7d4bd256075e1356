"""Where the CPU, the system calls and the memory of a node go."""

"""This computer: its processes, slots, hardware, memory and account."""

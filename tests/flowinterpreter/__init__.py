"""What the flows of br-cloud do with a frame, in one switch and between clouds, without Open vSwitch.

`tests/kernel/test_host_interpreter.py` holds this to the real one. Whatever it does not know, it refuses (`Unknown`):
no new kind of flow can be misread.
"""

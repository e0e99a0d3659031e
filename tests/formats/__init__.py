"""Data folders as earlier versions of the gateway left them, made by `make.py`; `test_formats.py` opens each of them."""

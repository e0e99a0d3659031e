"""One file for each convention: how a family of devices writes its messages. All of them are pure."""

"""From messages to drafts: floods are cut, repeats found, the rest is decoded."""

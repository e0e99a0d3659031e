"""From messages to drafts: shares of floods, repeats, decoding."""

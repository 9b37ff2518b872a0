"""One stretched network: addresses, the link to each peer, the attachment to the gateway nodes."""

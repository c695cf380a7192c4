"""Downloads over HTTP that resume, retry and verify; standard library only."""

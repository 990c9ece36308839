"""What is forwarded when: the token trie of all sequences, its chunks, its radix nodes. No tensors."""

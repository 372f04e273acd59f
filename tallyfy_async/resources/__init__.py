"""The API's methods by noun: each is an operation and its Python signature."""

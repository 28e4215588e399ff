"""How often, when and which messages may go out, decided where the sender claims them."""

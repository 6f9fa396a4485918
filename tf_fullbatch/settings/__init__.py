"""What a setting is: a documented, checked field; choices among components; the flags made of both."""

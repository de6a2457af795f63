"""Who makes data keys, and who gets them back; the algorithms that wrap them."""

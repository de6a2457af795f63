"""Names and forms of AWS's own client."""

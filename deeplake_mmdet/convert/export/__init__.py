"""Any dataset that trains, written as files of another format."""

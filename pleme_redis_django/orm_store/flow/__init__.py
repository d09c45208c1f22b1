"""Flow control: which claimed jobs may start, and which jobs that wait become ready when others have ended."""

"""What people see while work goes on, and how it is stopped."""

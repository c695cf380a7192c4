"""Train the pose nets and the person detector."""

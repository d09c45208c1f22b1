from django.db import migrations

from pleme_redis_django.storage import JobTableStorage


class Migration(migrations.Migration):
    dependencies = [("pleme_redis_django", "0002_capacity_and_failures_by_time")]

    operations = [JobTableStorage("job")]
